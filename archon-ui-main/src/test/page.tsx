import { QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import type { ReactElement } from "react";
import { MemoryRouter, Route, Routes, useLocation } from "react-router-dom";
import { makeQueryClient } from "@/features/shared/queryClient";
import { ToastProvider, TooltipProvider } from "@/features/ui/primitives";

function Where() {
  const { pathname, search } = useLocation();
  return <output data-testid="address">{pathname + search}</output>;
}

/** A page as the application shows it, at an address. `path` is the route's pattern. */
export function open(element: ReactElement, address: string, path = address.split("?")[0] ?? "/") {
  const user = userEvent.setup();
  const client = makeQueryClient();
  client.setDefaultOptions({ queries: { ...client.getDefaultOptions().queries, retry: false } });
  render(
    <QueryClientProvider client={client}>
      <TooltipProvider>
        <ToastProvider>
          <MemoryRouter initialEntries={[address]}>
            <Routes>
              <Route path={path} element={element} />
              <Route path="*" element={<p>another page</p>} />
            </Routes>
            <Where />
          </MemoryRouter>
        </ToastProvider>
      </TooltipProvider>
    </QueryClientProvider>,
  );
  return { user, client };
}
