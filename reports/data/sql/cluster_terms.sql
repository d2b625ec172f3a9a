-- What sets the clusters of one book and layer apart: of each the three largest effects that are surely there.
SELECT cluster, name, feature, value, inside, outside, effect, q, told_by_previous_word AS told
FROM cluster_terms
WHERE book = $book AND layer = $layer AND among = $among AND q <= 0.05
QUALIFY row_number() OVER (PARTITION BY cluster ORDER BY abs(effect) DESC, p, feature) <= 3
ORDER BY cluster, abs(effect) DESC, feature
