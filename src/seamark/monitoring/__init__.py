"""What watches over everything: alerts and notifications."""
