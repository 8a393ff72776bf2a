import { Component, lazy, type ReactNode, Suspense } from "react";

const Markdown = lazy(() => import("./Markdown"));

interface LazyMarkdownProps {
  children: string;
  className?: string;
}

/** Markdown, whose reader comes when it is first needed; until then, and if it fails, the text as it is. */
export function LazyMarkdown({ children, className }: LazyMarkdownProps) {
  const plain = <div className="max-w-[72ch] whitespace-pre-wrap break-words text-sm leading-6">{children}</div>;
  return (
    <Guard fallback={plain}>
      <Suspense fallback={plain}>
        <Markdown {...(className ? { className } : {})}>{children}</Markdown>
      </Suspense>
    </Guard>
  );
}

class Guard extends Component<{ children: ReactNode; fallback: ReactNode }, { failed: boolean }> {
  override state = { failed: false };
  static getDerivedStateFromError() {
    return { failed: true };
  }
  override render() {
    return this.state.failed ? this.props.fallback : this.props.children;
  }
}
