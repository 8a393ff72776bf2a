import "./awo.css";
import type { ReactNode } from "react";
import { SignIn } from "../components/SignIn";
import { ToastProvider } from "./toast";
import { TooltipProvider } from "./ui/primitives";

// Dialogs and menus leave the page's frame; here the styles, which hold only inside `.awo`, reach them.
const home = document.createElement("div");
home.id = "awo-portals";
home.className = "awo";
document.body.append(home);

/** Around everything of ours in Archon's pages: our styles, our toasts with a button, and the way to sign in. */
export function Frame({ children }: { children: ReactNode }) {
  return (
    <div className="awo">
      <TooltipProvider delayDuration={300}>
        <ToastProvider>
          {children}
          <SignIn />
        </ToastProvider>
      </TooltipProvider>
    </div>
  );
}
