UPDATE resource SET value = :value, fence = :fence WHERE id = :id AND fence <= :fence
