namespace Kvcached.Router.Traffic;

/// <summary>Counts the events of a server-sent stream as its bytes pass: each ends in an empty line, wherever the bytes are cut.</summary>
internal struct EventCounter
{
    private bool _isLineEmpty;

    // Whether the event that is being read has said anything: comments and empty lines are none.
    private bool _hasField;
    private bool _isFirstOfLine;

    public EventCounter() => (_isLineEmpty, _isFirstOfLine) = (true, true);

    /// <returns>How many events ended within these bytes.</returns>
    public int Count(ReadOnlySpan<byte> chunk)
    {
        var ended = 0;
        foreach (var value in chunk)
        {
            if (value == (byte)'\n')
            {
                if (_isLineEmpty && _hasField)
                {
                    ended++;
                    _hasField = false;
                }

                (_isLineEmpty, _isFirstOfLine) = (true, true);
            }
            else if (value != (byte)'\r')
            {
                _hasField |= _isFirstOfLine && value != (byte)':';
                (_isLineEmpty, _isFirstOfLine) = (false, false);
            }
        }

        return ended;
    }
}
