import { Link } from "react-router-dom";
import { Button, Empty, Page } from "@/features/ui/primitives";
import { PATHS } from "@/paths";

export function NotFoundPage() {
  return (
    <Page title="No such page">
      <Empty
        title="There is nothing at this address"
        action={
          <Button asChild variant="primary">
            <Link to={PATHS.workOrders}>See all work orders</Link>
          </Button>
        }
      >
        The link may be old, or a letter of it may be missing.
      </Empty>
    </Page>
  );
}
