import { NavLink } from "react-router-dom";
import { cn } from "@/features/shared/utils/cn";
import { NAVIGATION } from "@/routes";

/** A rail on the left; at phone width a bar at the bottom. */
export function Navigation() {
  return (
    <nav
      aria-label="Main"
      className="fixed inset-x-0 bottom-0 z-30 flex border-line border-t bg-card pb-[env(safe-area-inset-bottom)] sm:inset-x-auto sm:top-0 sm:bottom-0 sm:left-0 sm:w-18 sm:flex-col sm:gap-1 sm:border-t-0 sm:border-r-2 sm:border-r-(--edge) sm:pt-3"
    >
      <span aria-hidden className="mx-auto mb-2 hidden text-accent sm:block">
        <svg width="32" height="32" viewBox="0 0 32 32" fill="none" role="presentation">
          <path
            d="M8 24 16 7l8 17M11.5 17.5h9"
            stroke="currentColor"
            strokeWidth="2.6"
            strokeLinecap="round"
            strokeLinejoin="round"
          />
        </svg>
      </span>
      {NAVIGATION.map(({ path, label, short, icon: Icon }) => (
        <NavLink
          key={path}
          to={path}
          end
          title={label}
          className={({ isActive }) =>
            cn(
              "flex min-h-14 min-w-0 flex-1 flex-col items-center justify-center gap-0.5 text-xs focus-visible:-outline-offset-2 sm:mx-1 sm:flex-none sm:rounded-lg",
              isActive ? "bg-accent-soft font-medium text-accent" : "text-muted hover:bg-sunk hover:text-ink",
            )
          }
        >
          <Icon size={20} aria-hidden />
          <span className="max-w-full truncate">
            <span aria-hidden>{short}</span>
            <span className="sr-only">{label}</span>
          </span>
        </NavLink>
      ))}
    </nav>
  );
}
