"""A small stand-in of the public Archon v1: its layout, and of each file just the lines beside which ours are put.

Its services are this repository's own, which keep the public names and signatures.
"""

import json
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[3]

_MAIN = '''\
"""Archon."""
import logging
import os
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from fastapi.middleware.cors import CORSMiddleware

from .api_routes.migration_api import router as migration_router
from .api_routes.settings_api import router as settings_router

# Import Logfire configuration
from .config.logfire_config import api_logger, setup_logfire
from .services.credential_service import initialize_credentials


@asynccontextmanager
async def lifespan(app: FastAPI):
    """As the public one: nothing of a plugin's life is in it."""
    await initialize_credentials()
    setup_logfire(service_name="archon-backend")
    api_logger.info("Archon is up")
    yield


app = FastAPI(title="Archon Knowledge Engine API", version="1.0.0", lifespan=lifespan)
app.add_middleware(
    CORSMiddleware, allow_origins=["*"], allow_credentials=True, allow_methods=["*"], allow_headers=["*"]
)


@app.middleware("http")
async def skip_health_check_logs(request, call_next):
    """As the public one: every answer goes through it."""
    if request.url.path in ("/health", "/api/health"):
        logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    return await call_next(request)


# Include API routers
app.include_router(settings_router)
app.include_router(migration_router)


@app.get("/")
async def root():
    return {"name": "Archon Knowledge Engine API"}


@app.get("/health")
async def health_check(response: Response):
    return {"status": "healthy", "service": "archon-backend", "ready": True}


def main():
    """Main entry point for running the server."""
    import uvicorn

    uvicorn.run("src.server.main:app", host="127.0.0.1", port=int(os.environ["ARCHON_SERVER_PORT"]))


if __name__ == "__main__":
    main()
'''
_MCP = """\
mcp = object()


def register_modules():
    return 0


# Register all modules when this file is imported
try:
    register_modules()
except Exception:
    raise
"""
_CONFTEST = '''\
"""What the public tests set up for everybody below them."""
import os

os.environ.update(
    TEST_MODE="true",
    TESTING="true",
    SUPABASE_URL="https://test.supabase.co",
    SUPABASE_SERVICE_KEY="test-key",
    ARCHON_SERVER_PORT="8181",
    ARCHON_MCP_PORT="8051",
    ARCHON_AGENTS_PORT="8052",
)
'''
_APP = """\
import { QueryClientProvider } from '@tanstack/react-query';
import { BrowserRouter as Router, Routes, Route } from 'react-router-dom';
import { queryClient } from './features/shared/config/queryClient';
import { KnowledgeBasePage } from './pages/KnowledgeBasePage';
import { SettingsPage } from './pages/SettingsPage';
import { Navigation } from './components/layout/Navigation';
import { ToastProvider } from './features/ui/components/ToastProvider';


const AppRoutes = () => {
  return (
    <Routes>
      <Route path="/" element={<KnowledgeBasePage />} />
      <Route path="/settings" element={<SettingsPage />} />
      <Route path="/mcp" element={<KnowledgeBasePage />} />
    </Routes>
  );
};

export function App() {
  return (
    <QueryClientProvider client={queryClient}>
      <ToastProvider>
        <Router>
          <Navigation />
          <AppRoutes />
        </Router>
      </ToastProvider>
    </QueryClientProvider>
  );
}
"""
_NAVIGATION = """\
import { BookOpen, Settings } from "lucide-react";
import type React from "react";
import { Link } from "react-router-dom";
import { cn } from "../../lib/utils";

interface NavigationItem {
  path: string;
  icon: React.ReactNode;
  label: string;
  enabled?: boolean;
}

export function Navigation() {
  const navigationItems: NavigationItem[] = [
    {
      path: "/",
      icon: <BookOpen className="h-5 w-5" />,
      label: "Knowledge Base",
      enabled: true,
    },
    {
      path: "/settings",
      icon: <Settings className="h-5 w-5" />,
      label: "Settings",
      enabled: true,
    },
  ];
  return (
    <nav className={cn("flex flex-col bg-card text-muted")}>
      {navigationItems
        .filter((item) => item.enabled)
        .map((item) => (
          <Link key={item.path} to={item.path} aria-label={item.label}>
            {item.icon}
          </Link>
        ))}
    </nav>
  );
}
"""
_SETTINGS_PAGE = """\
import { useState } from "react";
import {
  Settings,
  Palette,
} from "lucide-react";
import { useToast } from "../features/shared/hooks/useToast";

export const SettingsPage = () => {
  const [shown, setShown] = useState(false);
  const { showToast } = useToast();
  return (
    <div className="w-full">
      <h1>
        <Settings /> Settings
      </h1>
      <div className="grid grid-cols-1 lg:grid-cols-2 gap-6">
        <div className="space-y-6">
          <Palette />
        </div>
      </div>

      {/* Button Playground Toggle - Subtle blue circle */}
      <button onClick={() => setShown(!shown)}>Playground</button>
      {shown && <button onClick={() => showToast("Played", "success")}>Play</button>}

      {/* Error Display */}
    </div>
  );
};
"""
_TOAST = """\
import { createContext, useContext } from "react";

export interface Toast {
  id: string;
  message: string;
  type: "success" | "error" | "info" | "warning";
}

interface ToastContextType {
  showToast: (message: string, type?: Toast["type"], duration?: number) => void;
  removeToast: (id: string) => void;
}

export const ToastContext = createContext<ToastContextType | undefined>(undefined);

export function useToast() {
  const context = useContext(ToastContext);
  if (!context) throw new Error("useToast must be used within a ToastProvider");
  return context;
}
"""
_TOASTS = """\
import { type ReactNode, useMemo, useState } from "react";
import { type Toast, ToastContext } from "../../shared/hooks/useToast";

export function ToastProvider({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<Toast[]>([]);
  const context = useMemo(
    () => ({
      showToast: (message: string, type: Toast["type"] = "info") =>
        setToasts((before) => [...before, { id: String(before.length), message, type }]),
      removeToast: (id: string) => setToasts((before) => before.filter((toast) => toast.id !== id)),
    }),
    [],
  );
  return (
    <ToastContext.Provider value={context}>
      {children}
      {toasts.map((toast) => (
        <p key={toast.id} role="status">
          {toast.message}
        </p>
      ))}
    </ToastContext.Provider>
  );
}
"""
_QUERY_CLIENT = """\
import { QueryClient } from "@tanstack/react-query";

export const makeQueryClient = () =>
  new QueryClient({
    defaultOptions: { queries: { staleTime: 30_000, retry: 2, refetchOnWindowFocus: false } },
  });
export const queryClient = makeQueryClient();
"""
# Classes and variables of the very names that ours have, and of other colours.
_CSS = """\
@import "tailwindcss";
@custom-variant dark (&:where(.dark, .dark *));
:root {
  --card: 0 0% 100%;
  --muted: 240 4.8% 95.9%;
  --accent: 271 91% 65%;
}
@theme inline {
  --color-card: hsl(var(--card));
  --color-muted: hsl(var(--muted));
  --color-accent: hsl(var(--accent));
}
"""
_VITE = """\
import path from "path";
import { defineConfig } from "vite";
import react from "@vitejs/plugin-react";
import tailwindcss from "@tailwindcss/vite";

export default defineConfig({
  plugins: [tailwindcss(), react()],
  resolve: { alias: { "@": path.resolve(__dirname, "./src") } },
});
"""
_TSCONFIG = {
    "compilerOptions": {
        "target": "ES2020",
        "lib": ["ES2020", "DOM", "DOM.Iterable"],
        "module": "ESNext",
        "skipLibCheck": True,
        "moduleResolution": "bundler",
        "resolveJsonModule": True,
        "isolatedModules": True,
        "noEmit": True,
        "jsx": "react-jsx",
        "strict": True,
        "noUnusedLocals": True,
        "noUnusedParameters": True,
        "noFallthroughCasesInSwitch": True,
        "types": ["vite/client"],
        "paths": {"@/*": ["./src/*"]},
    },
    "include": ["src"],
}
# What the public pages depend on and ours import too, in the public ranges.
_DEPENDENCIES = {
    "@radix-ui/react-alert-dialog": "^1.1.15",
    "@radix-ui/react-checkbox": "^1.3.3",
    "@radix-ui/react-dialog": "^1.1.15",
    "@radix-ui/react-dropdown-menu": "^2.1.16",
    "@radix-ui/react-select": "^2.2.6",
    "@radix-ui/react-switch": "^1.2.6",
    "@radix-ui/react-tabs": "^1.1.13",
    "@radix-ui/react-toast": "^1.2.15",
    "@radix-ui/react-tooltip": "^1.2.8",
    "@tanstack/react-query": "^5.85.8",
    "clsx": "latest",
    "lucide-react": "^0.441.0",
    "prismjs": "^1.30.0",
    "react": "^18.3.1",
    "react-dom": "^18.3.1",
    "react-markdown": "^10.1.0",
    "react-router-dom": "^6.26.2",
    "tailwind-merge": "latest",
    "zod": "^3.25.46",
}
_PACKAGE = {
    "name": "archon-ui",
    "private": True,
    "type": "module",
    "dependencies": _DEPENDENCIES,
    "devDependencies": {"vite": "^5.4.20"},
}
FILES = {
    "docker-compose.yml": "services: {}\n",
    "migration/complete_setup.sql": "select 1;\n",
    "python/src/__init__.py": "",
    "python/src/mcp_server/__init__.py": "",
    "python/src/mcp_server/features/__init__.py": "",
    "python/src/mcp_server/mcp_server.py": _MCP,
    "python/src/server/__init__.py": "",
    "python/src/server/main.py": _MAIN,
    "python/tests/__init__.py": "",
    "python/tests/conftest.py": _CONFTEST,
    "archon-ui-main/index.html": (
        '<!doctype html>\n<div id="root"></div>\n<script type="module" src="/src/index.tsx"></script>\n'
    ),
    "archon-ui-main/package.json": json.dumps(_PACKAGE, indent=2) + "\n",
    "archon-ui-main/tsconfig.json": json.dumps(_TSCONFIG, indent=2) + "\n",
    "archon-ui-main/vite.config.ts": _VITE,
    "archon-ui-main/src/App.tsx": _APP,
    "archon-ui-main/src/components/layout/Navigation.tsx": _NAVIGATION,
    "archon-ui-main/src/features/shared/config/queryClient.ts": _QUERY_CLIENT,
    "archon-ui-main/src/features/shared/hooks/useToast.ts": _TOAST,
    "archon-ui-main/src/features/ui/components/ToastProvider.tsx": _TOASTS,
    "archon-ui-main/src/index.css": _CSS,
    "archon-ui-main/src/index.tsx": (
        "import './index.css';\nimport { createRoot } from 'react-dom/client';\nimport { App } from './App';\n\n"
        "createRoot(document.getElementById('root')!).render(<App />);\n"
    ),
    "archon-ui-main/src/lib/utils.ts": 'export const cn = (...classes: string[]) => classes.join(" ");\n',
    "archon-ui-main/src/pages/KnowledgeBasePage.tsx": "export const KnowledgeBasePage = () => <p>Knowledge</p>;\n",
    "archon-ui-main/src/pages/SettingsPage.tsx": _SETTINGS_PAGE,
}


def build(root: Path, line_end: str = "\n") -> Path:
    """The stand-in under `root`; `line_end` in every file of its own."""
    for name in ("api_routes", "config", "services"):
        shutil.copytree(
            ROOT / "python/src/server" / name,
            root / "python/src/server" / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.replace("\n", line_end).encode())
    return root
