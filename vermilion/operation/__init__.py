"""Running an office: settings and ports of each service, starting and stopping, examining, what ``deploy/`` says."""
