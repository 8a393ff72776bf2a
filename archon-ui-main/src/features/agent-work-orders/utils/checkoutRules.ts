/** What may be placed in a repository's checkouts, as the server would say it. The server has the last word. Pure. */

const RESERVED = new Set(
  (
    "PATH HOME TMPDIR SHELL USER LOGNAME PWD IFS ENV BASH_ENV CDPATH NODE_OPTIONS NODE_PATH PYTHONPATH PYTHONHOME " +
    "PYTHONSTARTUP PERL5LIB PERL5OPT RUBYOPT GLIBC_TUNABLES API_TIMEOUT_MS GH_TOKEN GITHUB_TOKEN GH_ENTERPRISE_TOKEN " +
    "SSH_AUTH_SOCK"
  ).split(" "),
);
const RESERVED_SHAPE =
  /^(GIT_|LD_|DYLD_|ANTHROPIC_|CLAUDE_|AWO_|ARCHON_|SUPABASE_|BASH_FUNC_|SSL_CERT_|NODE_EXTRA_CA_|NODE_TLS_|BUN_)|(_PROXY|_CA_BUNDLE)$/;
const MAX_VALUE = 32 * 1024;
const MAX_FILE = 256 * 1024;

export const sizeOf = (text: string): number => new TextEncoder().encode(text).length;

export function variableProblem(name: string, value: string): string | null {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,99}$/.test(name))
    return "is no name for a variable: letters, digits and '_', not starting with a digit";
  const upper = name.toUpperCase();
  if (RESERVED.has(upper) || RESERVED_SHAPE.test(upper))
    return "is reserved: the server or its secrets use that name, or it decides which programs run";
  if (value.includes("\0") || value.length > MAX_VALUE)
    return `has a value with a NUL or of more than ${MAX_VALUE} characters`;
  return null;
}

export function fileProblem(path: string, text: string): string | null {
  if (!path || path.length > 400 || path.startsWith("/") || path.endsWith("/") || path.includes("\\"))
    return "must be a path of at most 400 characters inside the repository";
  const parts = path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === ".." || /\p{C}/u.test(part)))
    return "must be a plain path, without '..', '.' or control characters in it";
  if (parts.some((part) => [".git", ".claude"].includes(part.toLowerCase()))) return "must not be in .git or .claude";
  return sizeOf(text) > MAX_FILE ? `must be a file of at most ${MAX_FILE / 1024} kB` : null;
}

export function commandProblem(text: string, atMost: number): string | null {
  if (text === "") return null;
  if (text.trim() === "") return "must not be blank; leave it out instead";
  if (text.includes("\0")) return "must not contain NUL characters";
  return text.length > atMost ? `must be at most ${atMost} characters` : null;
}
