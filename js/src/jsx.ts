// What JSX becomes in the bundle (esbuild injects it): calls of h are shorter than those of the automatic run-time.
export { Fragment, h } from "preact";
