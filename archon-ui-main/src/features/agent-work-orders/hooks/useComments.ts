import { useCallback } from "react";
import { useStored } from "../host";
import type { LineComment } from "../utils/diff";
import { newKey } from "./useDraft";

const NONE: LineComment[] = [];

/** Comments on lines of an order's change that are not sent yet. They outlive a reload. */
export function useComments(orderId: string) {
  const [comments, save, clear] = useStored<LineComment[]>("session", `awo-comments:${orderId}`, NONE);
  const put = useCallback(
    (comment: Omit<LineComment, "id"> & { id?: string }) => {
      const id = comment.id ?? newKey();
      save([...comments.filter((one) => one.id !== id), { ...comment, id }]);
    },
    [comments, save],
  );
  const remove = useCallback((id: string) => save(comments.filter((one) => one.id !== id)), [comments, save]);
  return { comments, put, remove, clear };
}
