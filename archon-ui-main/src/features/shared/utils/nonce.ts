/** The nonce that the server's policy asks of scripts and styles made at run time; empty in development. */
const found = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]');

export const styleNonce: string = found?.nonce || found?.getAttribute("nonce") || "";
