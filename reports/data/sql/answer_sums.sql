-- Sums of each measure over the pairs of marks of each two passages, for some books and classes. No pair is read.
SELECT layer, class, other, book, passage, other_passage, pairs,
       mi, cov, corr, mi_copula, corr_centred, mi_copula_centred, mi_centred
FROM passage_sums
WHERE class IN $classes AND other IN $classes AND book IN $books
ORDER BY book, class, other, layer, passage, other_passage
