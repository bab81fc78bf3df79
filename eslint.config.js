import js from "@eslint/js";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["isi_widget/static/**", "node_modules/**", ".venv/**"] },
  js.configs.recommended,
  {
    files: ["js/**/*.{ts,tsx}"],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "no-restricted-properties": ["error", { property: "innerHTML", message: "Text from data, model or user is set as text." }],
      "no-restricted-syntax": [
        "error",
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "Text from data, model or user is set as text." },
      ],
    },
  },
  {
    files: ["js/**/*.mjs", "js/dev/*.js"],
    languageOptions: {
      globals: { Buffer: "readonly", console: "readonly", process: "readonly", document: "readonly", window: "readonly", fetch: "readonly", URL: "readonly", setTimeout: "readonly", URLSearchParams: "readonly", Uint8Array: "readonly", atob: "readonly", DataView: "readonly", location: "readonly", structuredClone: "readonly", setInterval: "readonly", clearInterval: "readonly", clearTimeout: "readonly" },
    },
  },
);
