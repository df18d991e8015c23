// SPDX-License-Identifier: Apache-2.0
import "@mantine/core/styles.css";
import "./global.css";

import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router-dom";

import { queryClient } from "./api/query";
import { App } from "./App";
import { basePath, cspNonce } from "./base";
import { cssVariables, theme } from "./theme";

setNonce(cspNonce); // for the styles that an open dialog adds

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no element #root");

createRoot(root).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      cssVariablesResolver={cssVariables}
      defaultColorScheme="auto"
      getStyleNonce={() => cspNonce}
    >
      <QueryClientProvider client={queryClient}>
        {/* Not as a transition: what is selected lives in the address, and a radio must not jump back meanwhile. */}
        <BrowserRouter basename={basePath} future={{ v7_startTransition: false, v7_relativeSplatPath: true }}>
          <App />
        </BrowserRouter>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
