-- Where the marks of some books and classes stand: which token of the text, and which one.
SELECT book, class, i, position, token
FROM marks
WHERE book IN $books AND class IN $classes
ORDER BY book, class, i
