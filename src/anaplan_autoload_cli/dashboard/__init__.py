"""The dashboard: what it shows, where its data comes from, and how it is drawn without AWS."""
