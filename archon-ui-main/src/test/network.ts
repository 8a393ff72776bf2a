import { setupServer } from "msw/node";

/** The fake network of every test; a request that no handler knows fails the test. */
export const network = setupServer();
