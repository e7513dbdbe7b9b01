"""What is wrong, who is told, and what came of it: findings become alerts, alerts become notifications."""
