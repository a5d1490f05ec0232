import { defineConfig } from "vite";

// What comes out is committed and served as it is, so the same sources must give the same bytes.
export default defineConfig({
  base: "/console/",
  build: {
    outDir: "../console_assets",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0, // the policy admits no data: scripts or styles
    reportCompressedSize: false,
  },
});
