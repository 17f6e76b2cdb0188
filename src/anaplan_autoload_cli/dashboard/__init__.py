"""The dashboard: what it shows, where its data come from, and how it is drawn without AWS."""
