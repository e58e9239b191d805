namespace Kvcached.Actors.Hosting;

/// <summary>
/// Checks that brackets and quotes of a HOCON text close. Akka's parser takes a missing or a surplus brace in silence, loses what
/// follows it, and never comes back from an array that doesn't end.
/// </summary>
internal static class HoconBrackets
{
    private const string LongQuote = "\"\"\"";

    /// <summary>What is wrong and where, or null.</summary>
    public static string? FindProblem(string text)
    {
        var open = new Stack<(char Bracket, int Line)>();
        var line = 1;
        for (var index = 0; index < text.Length; index++)
        {
            switch (text[index])
            {
                case '\n':
                    line++;
                    break;
                case '#':
                case '/' when index + 1 < text.Length && text[index + 1] == '/':
                    index = EndOfLine(text, index) - 1;
                    break;
                case '"':
                    var end = EndOfQuote(text, index);
                    if (end < 0)
                    {
                        return $"line {line}: a quote doesn't end";
                    }

                    line += text.AsSpan(index, end - index).Count('\n');
                    index = end - 1;
                    break;
                case '{' or '[':
                    open.Push((text[index], line));
                    break;
                case '}' or ']':
                    if (!open.TryPop(out var opened) || opened.Bracket != (text[index] == '}' ? '{' : '['))
                    {
                        return $"line {line}: '{text[index]}' closes nothing";
                    }

                    break;
            }
        }

        return open.TryPop(out var left) ? $"line {left.Line}: '{left.Bracket}' isn't closed" : null;
    }

    private static int EndOfLine(string text, int index)
    {
        var end = text.IndexOf('\n', index);
        return end < 0 ? text.Length : end;
    }

    /// <summary>The position after the closing quote, or -1. A plain quote ends on its line.</summary>
    private static int EndOfQuote(string text, int index)
    {
        if (string.CompareOrdinal(text, index, LongQuote, 0, LongQuote.Length) == 0)
        {
            var close = text.IndexOf(LongQuote, index + LongQuote.Length, StringComparison.Ordinal);
            return close < 0 ? -1 : close + LongQuote.Length;
        }

        for (index++; index < text.Length && text[index] != '\n'; index++)
        {
            if (text[index] == '"')
            {
                return index + 1;
            }

            if (text[index] == '\\')
            {
                index++;
            }
        }

        return -1;
    }
}
