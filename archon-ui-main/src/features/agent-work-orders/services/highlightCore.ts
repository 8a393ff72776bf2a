/** Prism's languages look for it in the global scope; without `manual` it would go through the page by itself. */
import Prism from "prismjs";

Prism.manual = true;
Object.assign(globalThis, { Prism });
