"""The REST interface as a whole: the application, its admission, and what bodies are made of."""
