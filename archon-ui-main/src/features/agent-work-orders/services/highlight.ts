/** Syntax colours: Prism's core and the languages that changes are mostly made of. Comes in a chunk of its own. */
import "./highlightCore";
import Prism from "prismjs";
import "prismjs/components/prism-markup";
import "prismjs/components/prism-clike";
import "prismjs/components/prism-javascript";
import "prismjs/components/prism-css";
import "prismjs/components/prism-python";
import "prismjs/components/prism-typescript";
import "prismjs/components/prism-jsx";
import "prismjs/components/prism-tsx";
import "prismjs/components/prism-json";
import "prismjs/components/prism-yaml";
import "prismjs/components/prism-bash";
import "prismjs/components/prism-go";
import "prismjs/components/prism-rust";
import "prismjs/components/prism-java";
import "prismjs/components/prism-sql";
import "prismjs/components/prism-markdown";
import "prismjs/components/prism-toml";

export interface CodePiece {
  text: string;
  className: string;
}

/** A line of code as pieces with a class each; plain where the language is not known. */
export function highlight(text: string, language: string): CodePiece[] {
  const grammar = Prism.languages[language];
  if (!grammar || text.length > 2_000) return [{ text, className: "" }];
  return Prism.tokenize(text, grammar).flatMap((token) => flatten(token, ""));
}

function flatten(token: string | Prism.Token, outer: string): CodePiece[] {
  if (typeof token === "string") return [{ text: token, className: outer }];
  const className = `code-${token.type}`;
  const inner = Array.isArray(token.content) ? token.content : [token.content];
  return inner.flatMap((one) => flatten(one as string | Prism.Token, className));
}
