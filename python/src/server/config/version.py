"""Which Archon this host stands in for; the UI and the migration page show it."""

ARCHON_VERSION = "0.1.0"
GITHUB_REPO_OWNER = "coleam00"
GITHUB_REPO_NAME = "Archon"
