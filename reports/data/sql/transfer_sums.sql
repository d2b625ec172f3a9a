-- Whether a rule of the first mark types tells the other types apart: wins by the passages of two test marks.
SELECT layer, class, other, book, labels, passage, other_passage, pairs, wins
FROM transfer_sums
WHERE class IN $classes AND other IN $classes AND book IN $books
ORDER BY book, class, other, labels, layer, passage, other_passage
