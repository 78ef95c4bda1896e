"""Consumer groups: who is a member, which generation it is, what has been committed."""
