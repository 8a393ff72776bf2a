import ReactMarkdown, { type Components } from "react-markdown";
import rehypeSanitize from "rehype-sanitize";
import remarkGfm from "remark-gfm";
import { cn, safeHref } from "../host";

const COMPONENTS: Components = {
  // A picture would tell another server that somebody looks; its address says as much as it needs to.
  img: ({ src, alt }) => <Out href={typeof src === "string" ? src : undefined}>{alt || "picture"}</Out>,
  a: ({ href, children }) => <Out href={href}>{children}</Out>,
  pre: ({ children }) => (
    <pre className="overflow-x-auto rounded-md bg-sunk p-2 font-mono text-code" tabIndex={0}>
      {children}
    </pre>
  ),
  code: ({ children }) => <code className="rounded bg-sunk px-0.5 font-mono text-code">{children}</code>,
  table: ({ children }) => (
    <div className="overflow-x-auto">
      <table className="border-collapse [&_td]:border [&_td]:border-line [&_td]:px-2 [&_th]:border [&_th]:border-line [&_th]:px-2 [&_th]:text-left">
        {children}
      </table>
    </div>
  ),
  // Headings of a text inside a page would break the page's own order of headings.
  h1: ({ children }) => <p className="font-semibold text-base">{children}</p>,
  h2: ({ children }) => <p className="font-semibold text-base">{children}</p>,
  h3: ({ children }) => <p className="font-semibold">{children}</p>,
  h4: ({ children }) => <p className="font-semibold">{children}</p>,
  h5: ({ children }) => <p className="font-semibold">{children}</p>,
  h6: ({ children }) => <p className="font-semibold">{children}</p>,
  input: ({ checked }) => <span>{checked ? "☑" : "☐"}</span>,
};

function Out({ href, children }: { href: string | undefined; children?: React.ReactNode }) {
  const safe = safeHref(href);
  if (!safe) return <span>{children}</span>;
  return (
    <a href={safe} target="_blank" rel="noopener noreferrer nofollow" className="text-accent underline">
      {children}
    </a>
  );
}

/** Markdown as text to read: no HTML of its own, no pictures, no relative links. */
export default function Markdown({ children, className }: { children: string; className?: string }) {
  return (
    <div
      className={cn(
        "flex max-w-[72ch] flex-col gap-2 break-words text-sm leading-6 [&_li]:ml-5 [&_ol]:list-decimal [&_ul]:list-disc [&_blockquote]:border-line [&_blockquote]:border-l-2 [&_blockquote]:pl-3",
        className,
      )}
    >
      <ReactMarkdown remarkPlugins={[remarkGfm]} rehypePlugins={[rehypeSanitize]} components={COMPONENTS}>
        {children}
      </ReactMarkdown>
    </div>
  );
}
