// Made by js/build.mjs: what the editor uses of the module that anywidget loads, by import path.
declare module "isi:core" {
  export const core: Readonly<Record<string, unknown>>;
}
