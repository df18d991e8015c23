// SPDX-License-Identifier: Apache-2.0
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Addresses in index.html are relative to its <base>, which the server sets: the portal may live behind any path.
export default defineConfig({
  base: "./",
  plugins: [react()],
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // no data: addresses for scripts and styles, which the content security policy forbids
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    rollupOptions: {
      output: {
        // What changes with every release apart from what changes with a library: caches keep the latter.
        manualChunks: (id) => (id.includes("node_modules") ? "libraries" : undefined),
      },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8080", "/c": "http://127.0.0.1:8080" } },
});
