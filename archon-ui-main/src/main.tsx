import "./index.css";
import { setNonce } from "get-nonce";
import { createRoot } from "react-dom/client";
import { styleNonce } from "@/features/shared/utils/nonce";
import { App } from "./App";

// Dialogs lock the page's scrolling by a style of their own, which the server's policy lets in by this nonce only.
if (styleNonce) setNonce(styleNonce);

const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);
