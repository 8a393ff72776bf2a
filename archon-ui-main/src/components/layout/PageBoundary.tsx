import { Component, type ReactNode } from "react";
import { useLocation } from "react-router-dom";
import { Problem } from "@/features/ui/primitives";

interface State {
  error: Error | null;
}

class Boundary extends Component<{ children: ReactNode }, State> {
  override state: State = { error: null };

  static getDerivedStateFromError(error: Error): State {
    return { error };
  }

  override render() {
    if (!this.state.error) return this.props.children;
    return (
      <div className="p-6">
        <Problem
          message="This page has run into an error of its own."
          nextAction="Reload it. What you have typed is kept; what the server does goes on."
          onRetry={() => location.reload()}
        >
          <pre className="overflow-x-auto whitespace-pre-wrap text-muted text-xs">{this.state.error.message}</pre>
        </Problem>
      </div>
    );
  }
}

/** Keeps a page's own failure from taking the navigation with it; another page starts afresh. */
export function PageBoundary({ children }: { children: ReactNode }) {
  const { pathname } = useLocation();
  return <Boundary key={pathname}>{children}</Boundary>;
}
