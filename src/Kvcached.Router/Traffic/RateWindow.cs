namespace Kvcached.Router.Traffic;

/// <summary>Counts events per second of the last hour, in bounded memory. Not safe for use by several threads.</summary>
internal sealed class RateWindow
{
    /// <summary>The longest time that can be asked for, in seconds.</summary>
    public const int MaxSeconds = 3600;

    private readonly int[] _counts = new int[MaxSeconds];
    private long _newestSecond;

    /// <param name="second">Seconds since any fixed moment; never less than before.</param>
    public void Add(long second)
    {
        MoveTo(second);
        _counts[second % MaxSeconds]++;
    }

    /// <summary>Events per second over the last <paramref name="seconds"/>, 1 to <see cref="MaxSeconds"/>, the running one included.</summary>
    public double PerSecond(long second, int seconds)
    {
        MoveTo(second);
        var sum = 0L;
        for (var back = 0; back < seconds && back <= second; back++)
        {
            sum += _counts[(second - back) % MaxSeconds];
        }

        return (double)sum / seconds;
    }

    private void MoveTo(long second)
    {
        for (var cleared = 0; _newestSecond < second && cleared < MaxSeconds; cleared++)
        {
            _newestSecond++;
            _counts[_newestSecond % MaxSeconds] = 0;
        }

        _newestSecond = second > _newestSecond ? second : _newestSecond;
    }
}
