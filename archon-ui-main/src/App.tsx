import { QueryClientProvider } from "@tanstack/react-query";
import { Suspense, useState } from "react";
import { BrowserRouter, Navigate, Route, Routes } from "react-router-dom";
import { AppShell } from "@/components/layout/AppShell";
import { NotFoundPage } from "@/components/layout/NotFoundPage";
import { PageBoundary } from "@/components/layout/PageBoundary";
import { makeQueryClient } from "@/features/shared/queryClient";
import { Skeleton, ToastProvider, TooltipProvider } from "@/features/ui/primitives";
import { PATHS } from "./paths";
import { ROUTES } from "./routes";

export function App() {
  const [queryClient] = useState(makeQueryClient);
  return (
    <QueryClientProvider client={queryClient}>
      <TooltipProvider delayDuration={300}>
        <ToastProvider>
          <BrowserRouter>
            <AppShell>
              <PageBoundary>
                <Suspense fallback={<Skeleton lines={4} className="m-6" />}>
                  <Routes>
                    <Route path="/" element={<Navigate to={PATHS.workOrders} replace />} />
                    {ROUTES.map(({ path, element: Element }) => (
                      <Route key={path} path={path} element={<Element />} />
                    ))}
                    <Route path="*" element={<NotFoundPage />} />
                  </Routes>
                </Suspense>
              </PageBoundary>
            </AppShell>
          </BrowserRouter>
        </ToastProvider>
      </TooltipProvider>
    </QueryClientProvider>
  );
}
