"""HTTP and live events: thin routes over the capabilities' stores."""
