"""Forms: what is asked for, who decides, what follows. Applications in, approval tokens out."""
