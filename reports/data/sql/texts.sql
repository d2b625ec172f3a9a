-- The books that were used, by name, with the checksum of what was read and the tokens that it made.
SELECT book, sha256, tokens
FROM books
WHERE status = 'used' AND ($books IS NULL OR book IN $books)
ORDER BY book
