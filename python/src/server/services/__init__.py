"""What the host keeps for itself and its plugins: credentials, the database client, the list of migrations."""
