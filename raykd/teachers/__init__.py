"""Teachers: preparing, recording and serving them, and the cache they are kept in."""
