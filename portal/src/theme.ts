// SPDX-License-Identifier: Apache-2.0
// The one place where colours and sizes differ from the library's: its greys and blues are too pale for WCAG 2.2 AA.
import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from "@mantine/core";

const harbour: MantineColorsTuple = [
  "#eaf4fd",
  "#d3e6f7",
  "#a4ccf0",
  "#73b0e8",
  "#5b9fdf",
  "#3d87cc",
  "#2d76b8",
  "#1f5f99",
  "#164c7d",
  "#0d3a62",
];

export const theme = createTheme({
  primaryColor: "harbour",
  primaryShade: { light: 7, dark: 6 },
  colors: { harbour },
  defaultRadius: "sm",
  fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif",
  fontFamilyMonospace: "ui-monospace, 'SFMono-Regular', Menlo, 'DejaVu Sans Mono', monospace",
  headings: {
    fontWeight: "600",
    sizes: { h1: { fontSize: "1.375rem" }, h2: { fontSize: "1.125rem" }, h3: { fontSize: "1rem" } },
  },
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    Modal: { defaultProps: { centered: true, closeButtonProps: { "aria-label": "Close" } } },
    // A dialog's heading is no banner of the page.
    ModalHeader: { defaultProps: { role: "none" } },
    Tooltip: {
      defaultProps: { multiline: true, maw: 360, events: { hover: true, focus: true, touch: true } },
    },
  },
});

export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#56606b",
    "--mantine-color-placeholder": "#6a737d",
    "--mantine-color-error": "#b3261e",
    "--mantine-color-anchor": "#1f5f99",
    "--harbinger-good": "#1a7f37",
    "--harbinger-bad": "#c0271d",
    "--harbinger-busy": "#1f6fb2",
    "--harbinger-idle": "#6e7781",
    "--harbinger-surface": "#f6f8fa",
    "--harbinger-selected": "#eaf4fd",
  },
  dark: {
    "--mantine-color-dimmed": "#a9b1ba",
    "--mantine-color-placeholder": "#9aa2ab",
    "--mantine-color-error": "#ff8a80",
    "--mantine-color-anchor": "#8ec4f5",
    "--harbinger-good": "#4cc26a",
    "--harbinger-bad": "#ff7b72",
    "--harbinger-busy": "#6cb6ff",
    "--harbinger-idle": "#9aa2ab",
    "--harbinger-surface": "#2a2d31",
    "--harbinger-selected": "#1d3247",
  },
});
