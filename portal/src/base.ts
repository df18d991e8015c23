// SPDX-License-Identifier: Apache-2.0
// Where the portal lives. The server writes <base href="/prefix/"> into the page; every address is made from it.

/** "/prefix", or "" at the root: what the router and the API client put before their paths. */
export const basePath = new URL(".", document.baseURI).pathname.replace(/\/$/, "");

/** The nonce of this page's content security policy, for the styles that the component library makes. */
export const cspNonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
