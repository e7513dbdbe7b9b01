"""Reports over a period: what was sent, how it fared, what it cost, and what is worth a look."""
