import { AgentWorkOrdersSettings } from "../components/AgentWorkOrdersSettings";
import { Page } from "../host";

/** Archon's settings, as far as they are ours. */
export default function SettingsView() {
  return (
    <Page title="Agent Work Orders settings" tab="Settings">
      <AgentWorkOrdersSettings />
    </Page>
  );
}
