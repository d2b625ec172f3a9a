-- Every book the store was given, used or not, with its marks.
SELECT book, title, author, source, characters, tokens, unique_tokens,
       internal_found, terminal_found, internal_used, terminal_used, status, reason
FROM books
ORDER BY book
