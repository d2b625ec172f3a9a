-- Every book the store was given, used or not, with its marks by class.
SELECT book, title, author, source, characters, tokens, unique_tokens, found, used, status, reason
FROM books
ORDER BY book
