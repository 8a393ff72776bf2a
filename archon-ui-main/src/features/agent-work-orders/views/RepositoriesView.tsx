import { Plus } from "lucide-react";
import { useMemo, useState } from "react";
import { AddRepository } from "../components/AddRepository";
import { RepositoryCard } from "../components/RepositoryCard";
import { useRepositories, useVerify } from "../hooks/useRepositories";
import { Button, Empty, Page, Problem, Skeleton } from "../host";
import { asApiError } from "../services/client";

/** What is configured of each repository, and whether it can be used. */
export default function RepositoriesView() {
  const list = useRepositories();
  const [adding, setAdding] = useState(false);
  const verify = useVerify();
  const repositories = useMemo(() => list.data?.pages.flatMap((page) => page.repositories) ?? [], [list.data]);
  const error = list.error ? asApiError(list.error) : null;
  const failed = verify.error ? asApiError(verify.error) : null;

  return (
    <Page
      title="Repositories"
      className="max-w-260"
      actions={
        <Button variant="primary" onClick={() => setAdding(true)}>
          <Plus size={16} aria-hidden />
          Add
        </Button>
      }
    >
      {error && <Problem message={error.message} nextAction={error.nextAction} onRetry={() => void list.refetch()} />}
      {failed && <Problem message={failed.message} nextAction={failed.nextAction} />}
      {verify.isPending && (
        <p role="status" className="text-muted">
          Verifying what was added…
        </p>
      )}
      {list.isPending && !error && <Skeleton lines={3} className="h-32" />}
      {list.data && repositories.length === 0 && (
        <Empty
          title="No repositories configured"
          action={
            <Button variant="primary" onClick={() => setAdding(true)}>
              Add the first repository
            </Button>
          }
        >
          An order can name any repository of an allowed host. One that is configured has its own defaults, limits and
          set-up.
        </Empty>
      )}
      {repositories.map((repository) => (
        <RepositoryCard key={repository.repository_id} repository={repository} />
      ))}
      {list.hasNextPage && (
        <div className="flex justify-center">
          <Button busy={list.isFetchingNextPage ? "Loading…" : undefined} onClick={() => void list.fetchNextPage()}>
            Load more
          </Button>
        </div>
      )}
      <AddRepository
        open={adding}
        onOpenChange={setAdding}
        known={repositories}
        onAdded={(repository) => {
          setAdding(false);
          verify.mutate(repository.repository_id);
        }}
      />
    </Page>
  );
}
