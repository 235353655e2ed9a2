import { defineConfig } from 'vite';
import { fonts } from './fonts.js';
import { licences } from './licences.js';

// "use client" and the like speak to servers that render; there is none here.
const onwarn = (warning, warn) => {
  if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') {
    warn(warning);
  }
};

// What comes out is served under a policy that allows scripts of the server's own alone: nothing inline, nothing evaluated.
export default defineConfig({
  plugins: [fonts, licences],
  publicDir: false,
  esbuild: { jsx: 'automatic', legalComments: 'none' },
  worker: { format: 'es', rollupOptions: { onwarn } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    // Every browser that takes the target preloads by itself.
    modulePreload: { polyfill: false },
    // Monaco is what it is.
    chunkSizeWarningLimit: 4096,
    rollupOptions: { onwarn },
  },
});
