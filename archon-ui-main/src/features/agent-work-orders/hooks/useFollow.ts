import { type RefObject, useCallback, useEffect, useRef, useState } from "react";

const AT_END = 4;

/**
 * Following the end of what scrolls, or standing still. Any movement upwards lets go; only reaching the end by hand, or
 * asking for it, takes hold again.
 */
export function useFollow(scroller: RefObject<HTMLElement | null>, start: boolean) {
  const [following, setFollowing] = useState(start);
  const now = useRef(following);
  now.current = following;

  const pause = useCallback(() => setFollowing(false), []);
  const toEnd = useCallback(() => {
    const element = scroller.current;
    if (element) element.scrollTop = element.scrollHeight;
  }, [scroller]);
  const resume = useCallback(() => {
    setFollowing(true);
    toEnd();
  }, [toEnd]);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    let touch = 0;
    let byHand = 0;
    const hand = () => {
      byHand = performance.now();
    };
    const wheel = (event: WheelEvent) => {
      hand();
      if (event.deltaY < 0) pause();
    };
    const touchStart = (event: TouchEvent) => {
      touch = event.touches[0]?.clientY ?? 0;
    };
    const touchMove = (event: TouchEvent) => {
      hand();
      const y = event.touches[0]?.clientY ?? 0;
      if (y > touch + 2) pause();
      touch = y;
    };
    const key = (event: KeyboardEvent) => {
      hand();
      if (["PageUp", "Home", "ArrowUp"].includes(event.key)) pause();
    };
    const pointer = (event: PointerEvent) => {
      hand();
      // Beside the content is the scrollbar.
      if (event.target === element && event.offsetX > element.clientWidth) pause();
    };
    const scroll = () => {
      if (now.current || performance.now() - byHand > 1500) return;
      if (element.scrollHeight - element.scrollTop - element.clientHeight <= AT_END) setFollowing(true);
    };
    const select = () => {
      const selection = document.getSelection();
      if (selection && !selection.isCollapsed && element.contains(selection.anchorNode)) pause();
    };
    element.addEventListener("wheel", wheel, { passive: true });
    element.addEventListener("touchstart", touchStart, { passive: true });
    element.addEventListener("touchmove", touchMove, { passive: true });
    element.addEventListener("keydown", key);
    element.addEventListener("pointerdown", pointer);
    // Before whoever changes the page because of it: afterwards every look at a place would cost a layout.
    element.addEventListener("scroll", scroll, { passive: true, capture: true });
    document.addEventListener("selectionchange", select);
    return () => {
      element.removeEventListener("wheel", wheel);
      element.removeEventListener("touchstart", touchStart);
      element.removeEventListener("touchmove", touchMove);
      element.removeEventListener("keydown", key);
      element.removeEventListener("pointerdown", pointer);
      element.removeEventListener("scroll", scroll, { capture: true });
      document.removeEventListener("selectionchange", select);
    };
  }, [scroller, pause]);

  return { following, pause, resume, toEnd };
}
