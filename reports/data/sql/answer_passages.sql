-- Where the passages of some books lie: those that touch are not compared with each other.
SELECT book, passage, start, tokens
FROM passages
WHERE book IN $books
ORDER BY book, passage
